package procession.protocol;

import java.util.ArrayList;
import java.util.List;
import java.util.random.RandomGenerator;
import procession.support.Check;

public class BackoffTest {
    private final RandomGenerator latest = () -> -1L; // as late as can be

    void each_window_is_twice_as_long_up_to_a_minute() {
        Backoff backoff = new Backoff(latest);
        List<Long> windows = new ArrayList<>();
        for (int count = 0; count < 8; count++) {
            windows.add(Math.round(backoff.next()));
        }
        Check.equal(windows, List.of(1L, 2L, 4L, 8L, 16L, 32L, 60L, 60L));
    }

    void a_good_connection_begins_anew() {
        Backoff backoff = new Backoff(latest);
        backoff.next();
        backoff.next();
        backoff.succeeded();
        Check.equal(Math.round(backoff.next()), 1L);
    }
}
