package procession.protocol;

/** An attempt in hand, from its offer until its end is known to the server. */
final class Held {
    /** What its end is told as, once it was asked to end. */
    enum Verdict {
        NONE,
        STOPPED,
        TIMED_OUT,
        CUT // the worker is about to go away
    }

    final Heard.Offer offer;
    final Printed printed = new Printed();
    long ticket; // 0: nothing of it has begun
    boolean isHeld;
    Verdict verdict = Verdict.NONE;
    String reason = "";
    double deadline = Double.POSITIVE_INFINITY;
    double patience = Double.POSITIVE_INFINITY; // when its handler is waited for no more
    String end; // as it is said
    boolean isTold;
    String progress; // as it is said

    Held(Heard.Offer offer) {
        this.offer = offer;
    }

    boolean isRunning() {
        return ticket != 0 && end == null;
    }

    boolean hasBegun() {
        return ticket != 0 || end != null;
    }
}
