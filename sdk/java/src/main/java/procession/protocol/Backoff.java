package procession.protocol;

import java.util.random.RandomGenerator;

/** When to come back: within a second, then two, four, … sixty, at a moment drawn at random in each. */
public final class Backoff {
    private static final double LONGEST = 60;

    private final RandomGenerator chance;
    private double window = 1;

    public Backoff(RandomGenerator chance) {
        this.chance = chance;
    }

    /** Seconds to wait now; the window after that is longer. */
    public double next() {
        double seconds = chance.nextDouble() * window;
        window = Math.min(window * 2, LONGEST);
        return seconds;
    }

    public void succeeded() {
        window = 1;
    }
}
