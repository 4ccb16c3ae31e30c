package procession.protocol;

import com.google.gson.JsonObject;
import java.util.ArrayDeque;
import java.util.Deque;

/** What a handler prints, until it is said. What comes faster than anybody takes it is not kept. */
final class Printed {
    private static final int PIECE = 32 << 10; // characters of one message
    private static final int MOST = 256 << 10; // characters that wait
    private static final int KEPT = 32 << 10; // characters that are said again after a cut

    private final Deque<Piece> waiting = new ArrayDeque<>();
    private final Deque<Piece> said = new ArrayDeque<>(); // nobody acknowledges it, and a cut may have lost it
    private int size;
    private int sizeSaid;
    private long end;

    /** Offsets are in bytes of UTF-8. */
    private static final class Piece {
        private final long begin;
        private final StringBuilder text = new StringBuilder();
        private long end;

        Piece(long begin) {
            this.begin = begin;
            this.end = begin;
        }
    }

    void print(String text) {
        String sound = Texts.sound(text);
        for (int place = 0; place < sound.length(); ) {
            int next = Math.min(sound.length(), place + PIECE);
            if (next < sound.length() && Character.isHighSurrogate(sound.charAt(next - 1))) {
                next--;
            }
            keep(sound.substring(place, next));
            place = next;
        }
    }

    private void keep(String text) {
        int bytes = Texts.bytes(text);
        if (size + text.length() <= MOST) {
            Piece piece = fitting(text.length());
            piece.text.append(text);
            piece.end += bytes;
            size += text.length();
        }
        end += bytes;
    }

    private Piece fitting(int length) {
        Piece last = waiting.peekLast();
        if (last == null || last.end != end || last.text.length() + length > PIECE) {
            last = new Piece(end);
            waiting.addLast(last);
        }
        return last;
    }

    boolean isWaiting() {
        return !waiting.isEmpty();
    }

    JsonObject next(String attempt) {
        Piece first = waiting.peekFirst();
        return Said.log(attempt, first.begin, first.text.toString());
    }

    void told() {
        Piece first = waiting.removeFirst();
        size -= first.text.length();
        said.addLast(first);
        sizeSaid += first.text.length();
        while (said.size() > 1 && sizeSaid > KEPT) {
            sizeSaid -= said.removeFirst().text.length();
        }
    }

    /** What was said last is said again: the server knows by the offsets what it has. */
    void again() {
        while (!said.isEmpty()) {
            waiting.addFirst(said.removeLast());
        }
        size += sizeSaid;
        sizeSaid = 0;
    }
}
