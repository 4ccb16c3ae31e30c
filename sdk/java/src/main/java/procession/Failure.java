package procession;

/**
 * A failure that says more than an exception does: whether trying again may help. Every other
 * exception of a handler is a failure, too, and may be tried again.
 */
public class Failure extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final boolean isRetryable;

    /** One that may be tried again, as the retries of the task say. */
    public Failure(String message) {
        this(message, true);
    }

    public Failure(String message, boolean isRetryable) {
        this(message, isRetryable, null);
    }

    public Failure(String message, boolean isRetryable, Throwable cause) {
        super(message, cause);
        this.isRetryable = isRetryable;
    }

    /** One that would come again however often it is tried. */
    public static Failure permanent(String message) {
        return new Failure(message, false);
    }

    public boolean isRetryable() {
        return isRetryable;
    }
}
