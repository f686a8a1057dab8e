"""How long to wait before asking the server again."""

from random import Random

IN_TRANSIT = 1.0
IDLE_WITHOUT_EVENTS = 2.0
IDLE_WITH_EVENTS = 15.0
FIRST_RETRY = 0.5
LONGEST_RETRY = 30.0


def poll_interval(*, in_transit: bool, events_flow: bool) -> float:
    """Seconds until `/running` is asked again.

    Each poll writes some 83 bytes to the server's log, which comes back as an event: while events
    flow, one a second would fill the log's 100 KiB with itself within twenty minutes.
    """
    if in_transit:
        return IN_TRANSIT
    return IDLE_WITH_EVENTS if events_flow else IDLE_WITHOUT_EVENTS


def retry_delay(attempts: int, random: Random) -> float:
    """Seconds until the next try after so many failed ones: doubling, jittered by a half.

    The jitter keeps a room full of dashboards from coming back at the same moment.
    """
    longest = min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(attempts, 10))
    return longest * (0.5 + random.random() / 2)
