package procession.protocol;

import com.google.gson.JsonObject;
import java.util.ArrayDeque;
import java.util.Deque;

/** An attempt in hand, from its offer until its end is known to the server. */
final class Held {
    private static final int PIECE = 64 << 10; // characters of one message
    private static final int MOST = 256 << 10; // characters that wait; what comes beyond is not kept

    /** What its end is told as, once it was asked to end. */
    enum Verdict {
        NONE,
        STOPPED,
        TIMED_OUT,
        CUT // the worker went away; what became of it is not known
    }

    final Heard.Offer offer;
    long ticket; // 0: nothing of it has begun
    boolean isHeld;
    Verdict verdict = Verdict.NONE;
    String reason = "";
    double deadline = Double.POSITIVE_INFINITY;
    double patience = Double.POSITIVE_INFINITY; // when its handler is waited for no more
    JsonObject end;
    boolean isTold;
    JsonObject progress;
    private long printed;
    private int waiting;
    private final Deque<Piece> pieces = new ArrayDeque<>();

    private record Piece(long offset, StringBuilder text) {}

    Held(Heard.Offer offer) {
        this.offer = offer;
    }

    boolean isRunning() {
        return ticket != 0 && end == null;
    }

    boolean hasBegun() {
        return ticket != 0 || end != null;
    }

    void print(String text) {
        String sound = Texts.sound(text);
        for (int place = 0; place < sound.length(); ) {
            int end = sound.offsetByCodePoints(place, Math.min(PIECE / 2, sound.codePointCount(place, sound.length())));
            keep(sound.substring(place, end));
            place = end;
        }
    }

    private void keep(String text) {
        if (waiting + text.length() <= MOST) {
            Piece last = pieces.peekLast();
            boolean goesOn = last != null
                    && last.offset + Texts.bytes(last.text) == printed
                    && last.text.length() + text.length() <= PIECE;
            if (goesOn) {
                last.text.append(text);
            } else {
                pieces.addLast(new Piece(printed, new StringBuilder(text)));
            }
            waiting += text.length();
        }
        printed += Texts.bytes(text);
    }

    boolean hasPrinted() {
        return !pieces.isEmpty();
    }

    /** The next part of what it printed, as a message. */
    JsonObject nextPiece() {
        Piece first = pieces.peekFirst();
        return Said.log(offer.attempt(), first.offset, first.text.toString());
    }

    void pieceTold() {
        waiting -= pieces.removeFirst().text.length();
    }
}
