package procession.support;

import java.util.concurrent.CountDownLatch;
import procession.Worker;

/** A worker in a process of its own: one that can be killed. */
public final class Program {
    private Program() {}

    /** Begins it, with an action that prints and then waits: for ever, or until it is to end. */
    public static Process begin(RealServer server, String action) throws Exception {
        ProcessBuilder starting = new ProcessBuilder(
                ProcessHandle.current().info().command().orElse("java"),
                "-cp",
                System.getProperty("java.class.path"),
                Program.class.getName(),
                action);
        starting.environment().put("PROCESSION_URL", server.url);
        starting.environment().put("PROCESSION_TOKEN", server.worker);
        return starting.redirectError(ProcessBuilder.Redirect.INHERIT).start();
    }

    public static void main(String[] args) {
        CountDownLatch ending = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(ending::countDown));
        new Worker()
                .register(args[0], (payload, context) -> {
                    context.log("begun");
                    ending.await();
                    return "ended in good order";
                })
                .start();
    }
}
