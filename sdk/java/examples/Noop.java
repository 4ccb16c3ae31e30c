import procession.Worker;

/** Does nothing, very often: `Noop ACTION SLOTS`. For measurements. */
public class Noop {
    public static void main(String[] args) {
        String action = args.length > 0 ? args[0] : "noop";
        int slots = args.length > 1 ? Integer.parseInt(args[1]) : 1_000;
        new Worker().slots(slots).register(action, payload -> payload).start();
    }
}
