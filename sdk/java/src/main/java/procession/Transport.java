package procession;

/** How a worker and its server speak. Both ways can do the same. */
public enum Transport {
    /** A stream, and polls where none gets through. */
    AUTO,
    /** A WebSocket. */
    STREAM,
    /** Requests, one after the other. */
    POLL
}
