package procession.protocol;

/** Texts that anybody wrote, as the protocol carries them. */
final class Texts {
    private static final char UNKNOWN = '\uFFFD';

    private Texts() {}

    /** Its beginning, without what cannot be stored. */
    static String fitting(String text, int most) {
        if (text == null) {
            return "";
        }
        String sound = sound(text);
        return sound.codePointCount(0, sound.length()) <= most
                ? sound
                : sound.substring(0, sound.offsetByCodePoints(0, most));
    }

    /** NUL and halves of characters become the character that stands for what is not known. */
    static String sound(String text) {
        if (text.indexOf('\0') < 0 && Shape.isWhole(text)) {
            return text;
        }
        StringBuilder sound = new StringBuilder(text.length());
        text.codePoints().forEach(each -> sound.appendCodePoint(isSound(each) ? each : UNKNOWN));
        return sound.toString();
    }

    private static boolean isSound(int point) {
        return point != 0 && (point < Character.MIN_SURROGATE || point > Character.MAX_SURROGATE);
    }

    /** How many bytes of UTF-8 it is. */
    static int bytes(CharSequence text) {
        int bytes = 0;
        for (int place = 0; place < text.length(); place++) {
            char each = text.charAt(place);
            if (Character.isHighSurrogate(each)) {
                place++;
                bytes += 4;
            } else {
                bytes += each < 0x80 ? 1 : each < 0x800 ? 2 : 3;
            }
        }
        return bytes;
    }
}
