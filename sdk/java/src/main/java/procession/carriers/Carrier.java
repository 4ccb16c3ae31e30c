package procession.carriers;

/** What carries frames to the server and back. Each of its methods answers at once. */
public interface Carrier {
    void open(Ear ear);

    /** One frame; the next one only after {@link Ear#sent}. */
    void send(String frame);

    /** Asks for a sign of life, where there is one besides frames. */
    void knock();

    /** Whether the server is heard only when it is asked. */
    boolean isAsking();

    void close();

    /** Whoever is told what happens; from any thread. */
    interface Ear {
        void opened();

        void sent();

        void heard(String frame);

        /** The other end is there. */
        void alive();

        void lost(Loss loss);
    }

    /** How a connection ended, and what is to be done about it. */
    record Loss(Kind kind, String why) {
        /** What it means. */
        public enum Kind {
            AGAIN,
            BLOCKED, // something answered, and no stream came of it: polls may get through
            FENCED,
            REFUSED // coming back would not help
        }

        public static Loss again(String why) {
            return new Loss(Kind.AGAIN, why);
        }
    }
}
