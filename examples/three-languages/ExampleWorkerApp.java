import procession.Worker;

/** Serves one action of the order, in Java. */
public class ExampleWorkerApp {
    public static void main(String[] args) {
        Worker worker = new Worker();

        worker.register("charge-credit-card", payload -> {
            return "Payment Processed: " + payload;
        });

        worker.start();
    }
}
