import procession.Failure;
import procession.Worker;

/** A payload of JSON, progress, a log, an end that is wanted early, and a failure for good. */
public class Charge {
    /** What the action is given. */
    record Order(String id, long cents, int rows) {}

    /** What comes out of it. */
    record Receipt(String order, String key) {}

    public static void main(String[] args) {
        new Worker()
                .slots(4)
                .register("charge", Order.class, (order, context) -> {
                    if (order.cents() <= 0) {
                        throw Failure.permanent("order " + order.id() + " costs " + order.cents());
                    }
                    context.onCancel(() -> System.err.println("not wanted any more: " + context.reason()));
                    for (int row = 1; row <= order.rows(); row++) {
                        Thread.sleep(100); // is interrupted when the run is stopped
                        context.progress(100.0 * row / order.rows(), "row " + row);
                        context.log("row " + row + " of " + order.rows());
                    }
                    return new Receipt(order.id(), context.key());
                })
                .start();
    }
}
