package procession.protocol;

/** Says where in a frame what is wrong. Nothing of such a frame is acted upon. */
public final class BadFrame extends Exception {
    private static final long serialVersionUID = 1L;

    public BadFrame(String why) {
        super(why);
    }
}
