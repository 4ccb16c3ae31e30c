package procession;

/** How often frames are sent: at once after a rest, then less often, since fewer and larger ones cost less. */
final class Pace {
    private static final double PER_SECOND = 100;
    private static final double MOST = 50; // after a rest

    private double left = MOST;
    private double at;

    /** When the next frame may go. */
    double next() {
        return left >= 1 ? Double.NEGATIVE_INFINITY : at + (1 - left) / PER_SECOND;
    }

    void spoke(double now) {
        left = Math.min(MOST, left + (now - at) * PER_SECOND) - 1;
        at = now;
    }
}
