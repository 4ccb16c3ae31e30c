package procession;

/** A run whose output was wanted has come to another end. */
public final class RunFailed extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final transient Run run;

    RunFailed(Run run) {
        super("run " + run.id() + " is " + run.status() + (run.error() == null ? "" : ": " + run.error()));
        this.run = run;
    }

    public Run run() {
        return run;
    }
}
