package procession;

/** Seconds that only rise. */
final class Clock {
    private Clock() {}

    static double now() {
        return System.nanoTime() / 1e9;
    }
}
