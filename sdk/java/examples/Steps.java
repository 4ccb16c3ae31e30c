import procession.Worker;

/** Serves two actions: PROCESSION_TOKEN says with what token, PROCESSION_URL where. */
public class Steps {
    public static void main(String[] args) {
        Worker worker = new Worker();

        worker.register("step1", payload -> {
            return "first: " + payload;
        });
        worker.register("step2", payload -> "second: " + payload);

        worker.start();
    }
}
