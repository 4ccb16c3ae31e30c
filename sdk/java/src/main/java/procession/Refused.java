package procession;

/** The server does not let this worker in, and would not however often it asked. */
public class Refused extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Refused(String why) {
        super(why);
    }
}
