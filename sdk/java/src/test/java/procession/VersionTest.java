package procession;

import java.nio.file.Files;
import java.nio.file.Path;
import procession.support.Check;
import procession.support.Skipped;

public class VersionTest {
    void the_sdk_calls_itself_what_its_pom_does() throws Exception {
        Path pom = Path.of("pom.xml");
        if (!Files.exists(pom)) {
            throw new Skipped("there is no pom.xml here");
        }
        Check.contains(Files.readString(pom), "<version>" + Version.NUMBER + "</version>\n  <packaging>");
    }
}
