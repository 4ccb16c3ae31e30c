package procession.protocol;

import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.List;

/** Messages that fit into one frame. */
final class Batch {
    private static final int ROOM = Wire.LARGEST - 1_024; // what stands around them is short

    private final List<String> messages = new ArrayList<>();
    private int bytes;

    /** Whether there was room for it. */
    boolean add(JsonObject said) {
        return add(Wire.text(said));
    }

    boolean add(String text) {
        int size = Texts.bytes(text) + 1;
        if (messages.size() == Shape.MOST || bytes + size > ROOM) {
            return false;
        }
        messages.add(text);
        bytes += size;
        return true;
    }

    boolean isEmpty() {
        return messages.isEmpty();
    }

    String frame(String session) {
        return Wire.frame(session, messages);
    }
}
