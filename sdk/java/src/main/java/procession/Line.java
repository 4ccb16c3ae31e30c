package procession;

import procession.carriers.Carrier;

/** One connection, as the loop sees it. What comes of an earlier one counts no more. */
final class Line implements Carrier.Ear {
    /** Whom it tells, in the thread of the loop. */
    interface Owner {
        void happened(Runnable what);

        boolean isCurrent(Line line);

        void opened();

        void heard(String frame);

        void lost(Carrier.Loss loss);
    }

    final Carrier carrier;
    private final Owner owner;
    private boolean isOpen;
    private boolean isSending;
    private double aliveAt;
    private double knockedAt;
    private double openedAt;
    private double sentAt;

    Line(Carrier carrier, Owner owner) {
        this.carrier = carrier;
        this.owner = owner;
    }

    private void tell(Runnable what) {
        owner.happened(() -> {
            if (owner.isCurrent(this)) {
                aliveAt = Clock.now();
                what.run();
            }
        });
    }

    @Override
    public void opened() {
        tell(() -> {
            isOpen = true;
            openedAt = aliveAt;
            sentAt = aliveAt;
            owner.opened();
        });
    }

    @Override
    public void sent() {
        tell(() -> isSending = false);
    }

    @Override
    public void heard(String frame) {
        tell(() -> owner.heard(frame));
    }

    @Override
    public void alive() {
        tell(() -> {});
    }

    @Override
    public void lost(Carrier.Loss loss) {
        tell(() -> owner.lost(loss));
    }

    boolean isOpen() {
        return isOpen;
    }

    boolean isReady() {
        return isOpen && !isSending;
    }

    void send(String frame, double now) {
        isSending = true;
        sentAt = now;
        carrier.send(frame);
    }

    /** When it was last asked, which counts where the server answers only then. */
    double sentAt() {
        return sentAt;
    }

    double age(double now) {
        return isOpen ? now - openedAt : 0;
    }

    /** Asks now and then whether the other end is there; false when it seems not to be. */
    boolean watch(double now, double beat) {
        if (!isOpen || carrier.isAsking()) {
            return true;
        }
        if (now - knockedAt >= beat) {
            knockedAt = now;
            carrier.knock();
        }
        return now - aliveAt <= Math.max(3 * beat, LEAST);
    }

    double watchAgain(double beat) {
        return isOpen && !carrier.isAsking() ? knockedAt + beat : Double.POSITIVE_INFINITY;
    }

    private static final double LEAST = 10; // seconds of silence that mean nothing
}
