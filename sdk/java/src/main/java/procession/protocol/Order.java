package procession.protocol;

/** What the desk wants done. */
public sealed interface Order {
    /** Let a handler begin; `ticket` is what it is known by from now on. */
    record Begin(long ticket, Heard.Offer offer) implements Order {}

    /** Tell a handler that its end is wanted. */
    record Cancel(long ticket, String reason) implements Order {}

    /** Tell a handler whether its run is held. */
    record Hold(long ticket, boolean isHeld) implements Order {}
}
