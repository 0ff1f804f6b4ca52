package source

import (
	"strconv"
	"strings"
	"time"

	"github.com/mmcdole/gofeed"
	"github.com/mmcdole/gofeed/rss"
)

// maxFeedFresh is the longest that a feed's word is taken.
const maxFeedFresh = 24 * time.Hour

// feedFresh is for how long the feed says that it need not be looked at again:
// ttl of RSS 2.0 in minutes, or updatePeriod and updateFrequency of its
// syndication module. 0 if it does not say.
func feedFresh(f *gofeed.Feed) time.Duration {
	var d time.Duration
	if original, ok := f.OriginalFeed().(*rss.Feed); ok {
		if minutes, err := strconv.ParseUint(strings.TrimSpace(original.TTL), 10, 31); err == nil {
			d = time.Duration(minutes) * time.Minute
		}
	}
	period := map[string]time.Duration{
		"hourly": time.Hour, "daily": 24 * time.Hour, "weekly": 7 * 24 * time.Hour, "monthly": 30 * 24 * time.Hour, "yearly": 365 * 24 * time.Hour,
	}[syndication(f, "updatePeriod")]
	frequency, err := strconv.ParseUint(syndication(f, "updateFrequency"), 10, 31)
	if err != nil || frequency == 0 {
		frequency = 1
	}
	return min(max(d, period/time.Duration(frequency)), maxFeedFresh)
}

// syndication returns the first element of that name, in lower case.
func syndication(f *gofeed.Feed, name string) string {
	for _, e := range f.Extensions["sy"][name] {
		return strings.ToLower(strings.TrimSpace(e.Value))
	}
	return ""
}
