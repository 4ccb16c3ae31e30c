package procession;

/** What this SDK calls itself; pom.xml says the same. */
final class Version {
    static final String NUMBER = "0.1.0";
    static final String SDK = "java/" + NUMBER + " (" + Runtime.version().feature() + ")";

    private Version() {}
}
