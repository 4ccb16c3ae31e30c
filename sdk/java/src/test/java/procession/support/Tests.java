package procession.support;

import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Runs every test: methods whose names are sentences. Arguments choose those that contain them. */
public final class Tests {
    private static final List<Class<?>> ALL = List.of(
            procession.protocol.VectorsTest.class,
            procession.protocol.WireTest.class,
            procession.protocol.DeskTest.class,
            procession.protocol.BackoffTest.class,
            procession.PlaceTest.class,
            procession.PayloadsTest.class,
            procession.VersionTest.class,
            procession.WorkerTest.class,
            procession.ClientTest.class,
            procession.ServerTest.class);
    private static final long LONGEST = 90; // seconds of one test
    private static final PrintStream OUT = System.out;

    private int passed;
    private int skipped;
    private int failed;

    private Tests() {}

    public static void main(String[] args) {
        System.setProperty("java.util.logging.SimpleFormatter.format", "    %4$s %5$s%n");
        long begun = System.nanoTime();
        Tests tests = new Tests();
        ALL.forEach(each -> tests.run(each, List.of(args)));
        OUT.printf(
                "sdk/java: %d passed, %d skipped, %d failed in %.1f s%n",
                tests.passed, tests.skipped, tests.failed, (System.nanoTime() - begun) / 1e9);
        System.exit(tests.failed == 0 ? 0 : 1);
    }

    private void run(Class<?> type, List<String> wanted) {
        Arrays.stream(type.getDeclaredMethods())
                .filter(Tests::isTest)
                .filter(each -> wanted.isEmpty() || wanted.stream().anyMatch(part -> name(type, each).contains(part)))
                .sorted(Comparator.comparing(Method::getName))
                .forEach(each -> run(type, each));
    }

    private static boolean isTest(Method method) {
        return !Modifier.isStatic(method.getModifiers())
                && !Modifier.isPrivate(method.getModifiers())
                && !method.isSynthetic()
                && method.getParameterCount() == 0
                && method.getName().contains("_");
    }

    private static String name(Class<?> type, Method method) {
        return type.getSimpleName() + ": " + method.getName().replace('_', ' ');
    }

    private void run(Class<?> type, Method method) {
        long begun = System.nanoTime();
        try {
            carryOut(type, method);
            passed++;
            OUT.printf("ok %5.2f %s%n", (System.nanoTime() - begun) / 1e9, name(type, method));
        } catch (InvocationTargetException error) {
            judge(name(type, method), error.getCause());
        } catch (Exception | AssertionError error) {
            judge(name(type, method), error);
        }
    }

    private static void carryOut(Class<?> type, Method method) throws Exception {
        var maker = type.getDeclaredConstructor();
        maker.setAccessible(true);
        method.setAccessible(true);
        Object test = maker.newInstance();
        try {
            within(() -> method.invoke(test));
        } finally {
            if (test instanceof AutoCloseable closing) {
                closing.close();
            }
        }
    }

    /** A test that does not end is a failure, and shows where it stands. */
    private static void within(Callable<?> test) throws Exception {
        FutureTask<?> running = new FutureTask<>(test);
        Thread thread = new Thread(running, "test");
        thread.setDaemon(true);
        thread.start();
        try {
            running.get(LONGEST, TimeUnit.SECONDS);
        } catch (TimeoutException error) {
            AssertionError stuck = new AssertionError("it does not end");
            stuck.setStackTrace(thread.getStackTrace());
            thread.interrupt();
            throw stuck;
        } catch (ExecutionException error) {
            throw error.getCause() instanceof Exception cause ? cause : error;
        }
    }

    private void judge(String name, Throwable error) {
        if (error instanceof Skipped) {
            skipped++;
            OUT.println("skipped  " + name + " (" + error.getMessage() + ")");
        } else {
            failed++;
            OUT.println("FAILED   " + name);
            OUT.println("         " + error);
            Arrays.stream(error.getStackTrace())
                    .filter(each -> each.getClassName().startsWith("procession"))
                    .forEach(each -> OUT.println("           at " + each));
        }
    }
}
