package procession.protocol;

/** Names that a server would refuse are refused here, before anything begins. */
public final class Names {
    private Names() {}

    public static String worker(String name) {
        if (name == null || !Shapes.WORKER.matcher(name).matches()) {
            throw new IllegalArgumentException("name: '" + name + "' cannot be one: " + Shapes.WORKER_RULE);
        }
        return name;
    }

    public static String action(String name) {
        if (name == null || !Shapes.SERVED.matcher(name).matches()) {
            throw new IllegalArgumentException("action: '" + name + "' cannot be one: " + Shapes.SERVED_RULE);
        }
        return name;
    }
}
