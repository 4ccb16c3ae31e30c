package procession.support;

/** Something that a test needs is not there. */
public final class Skipped extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public Skipped(String why) {
        super(why);
    }
}
