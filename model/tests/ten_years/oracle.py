"""When expressions are due in ten years, by two other ways than the one under test.

"days": every day of the ten years is tried, with the standard library's zones. "croniter": that library, in UTC only, where
it knows the words: it has no LW and no W in lists, and takes 30W in a month without a 30th for the nearest to its last day.
For each expression and way one line: the way, the expression, the unix seconds.
"""

import sys
from calendar import monthrange
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

START = datetime(2024, 1, 1, tzinfo=timezone.utc)
END = datetime(2034, 1, 1, tzinfo=timezone.utc)
MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
WEEKDAYS = "MON TUE WED THU FRI SAT SUN".split()


def numbers(text, names=()):
    for place, name in enumerate(names, 1):
        text = text.replace(name, str(place))
    return text


def values(field, low, high):
    found = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            first, last = low, high
        elif not last:
            last = high if step else first
        found.update(range(int(first), int(last) + 1, int(step or 1)))
    return found


def days_of_month(field, year, month):
    length = monthrange(year, month)[1]
    if field in "*?":
        return set(range(1, length + 1))
    working = [day for day in range(1, length + 1) if date(year, month, day).isoweekday() <= 5]
    found = set()
    for item in field.split(","):
        if item == "L":
            found.add(length)
        elif item == "LW":
            found.add(working[-1])
        elif item.endswith("W"):
            wanted = int(item[:-1])
            if wanted <= length:
                found.add(min(working, key=lambda day: abs(day - wanted)))
        else:
            found |= values(item, 1, 31)
    return found


def is_weekday(field, day):
    if field in "*?":
        return True
    for item in field.split(","):
        if item.endswith("L"):
            if day.isoweekday() == int(item[:-1]) and (day + timedelta(days=7)).month != day.month:
                return True
        elif "#" in item:
            weekday, nth = map(int, item.split("#"))
            if day.isoweekday() == weekday and 7 * (nth - 1) < day.day <= 7 * nth:
                return True
        elif day.isoweekday() in values(item, 1, 7):
            return True
    return False


def zone_of(text):
    if not text.startswith("GMT"):
        return ZoneInfo(text)
    hours, minutes = text[4:].split(":")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if text[3] == "-" else offset)


def end_of_gap(early, late, zone):
    """The first second between the two with another offset than the first one."""
    before = early.astimezone(zone).utcoffset()
    low, high = int(early.timestamp()), int(late.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


def instants(wall, zone, hour_interval, interval):
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(timezone.utc) for fold in (0, 1))
    if first == second:
        return {int(first.timestamp())}
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        return {int(one.timestamp()) for one in ((first, second) if interval else (first,))}
    return set() if hour_interval else {end_of_gap(second, first, zone)}


def split(expression):
    fields = expression.split()
    zone = fields.pop() if fields[-1][0].isalpha() and len(fields) > 6 else "UTC"
    second, minute, hour, day, month, weekday = fields[:6]
    year = fields[6] if len(fields) > 6 else "*"
    return second, minute, hour, day, numbers(month, MONTHS), numbers(weekday, WEEKDAYS), year, zone


def by_days(expression):
    second, minute, hour, day, month, weekday, year, zone = split(expression)
    zone = zone_of(zone)
    star = lambda field: "*" in field or "/" in field
    hours = values(hour, 0, 23)
    hour_interval = star(hour) or len(hours) == 24
    interval = hour_interval or star(minute) or star(second)
    times = [time(h, m, s) for h in hours for m in values(minute, 0, 59) for s in values(second, 0, 59)]
    years, months = values(year, 1970, 2099), values(month, 1, 12)
    found = set()
    today = START.date() - timedelta(days=2)
    while today < END.date() + timedelta(days=2):
        if today.year in years and today.month in months and is_weekday(weekday, today):
            if today.day in days_of_month(day, today.year, today.month):
                for at in times:
                    found |= instants(datetime.combine(today, at), zone, hour_interval, interval)
        today += timedelta(days=1)
    return sorted(at for at in found if START.timestamp() <= at < END.timestamp())


def by_croniter(expression):
    second, minute, hour, day, month, weekday, year, _ = split(expression)
    if day in ("LW", "30W") or "W" in day and "," in day:
        return None
    if "L" in weekday:
        weekday = "L" + weekday.replace("L", "")
    weekday = weekday.replace("7", "0") if weekday in ("7", "7#1", "L7") else weekday
    fields = [second, minute, hour, day.replace("?", "*"), month, weekday.replace("?", "*"), year]
    text = " ".join(fields if year != "*" else fields[:6])
    found = []
    walk = croniter(text, START.timestamp() - 1, second_at_beginning=True)
    try:
        while (at := walk.get_next(float)) < END.timestamp():
            found.append(int(at))
    except CroniterBadDateError:
        pass  # none is left
    return found


for line in open(sys.argv[1], encoding="utf-8").read().splitlines():
    for name, way in (("days", by_days), ("croniter", by_croniter)):
        due = way(line)
        if due is not None:
            print(name, line, *due, sep="\t")
