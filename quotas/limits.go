package quotas

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/jetvol/jetvol/volume"
)

// Limits are how much a project may use. Nil is no limit, 0 is nothing at all.
type Limits struct {
	Volumes   *int64 `json:"volumes,omitempty"`
	Bytes     *int64 `json:"bytes,omitempty"`
	Snapshots *int64 `json:"snapshots,omitempty"`
}

// Limit returns a limit of n.
func Limit(n int64) *int64 { return &n }

// Validate returns a [volume.ErrInvalidArgument] for a limit below 0.
func (l Limits) Validate() error {
	for _, d := range dimensions {
		if limit := d.limit(l); limit != nil && *limit < 0 {
			return volume.Errorf(volume.ErrInvalidArgument, "limit of %s %d: want 0 or more", d.name, *limit)
		}
	}
	return nil
}

// dimension is one of the things that are counted.
type dimension struct {
	name  string
	limit func(Limits) *int64
	of    func(Usage) int64
	text  func(int64) string
}

var dimensions = []dimension{
	{"volumes", func(l Limits) *int64 { return l.Volumes }, func(u Usage) int64 { return u.Volumes }, count},
	{"bytes", func(l Limits) *int64 { return l.Bytes }, func(u Usage) int64 { return u.Bytes }, size},
	{"snapshots", func(l Limits) *int64 { return l.Snapshots }, func(u Usage) int64 { return u.Snapshots }, count},
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

func size(n int64) string { return volume.Bytes(n).String() }

// Excess is a limit that is, or would be, exceeded.
type Excess struct {
	Dimension string `json:"dimension"` // volumes, bytes or snapshots
	Limit     int64  `json:"limit"`
	Used      int64  `json:"used"`
	Asked     int64  `json:"asked,omitempty"` // in addition
}

// String returns `volumes: limit 3, used 3, asked for 1 more`.
func (e Excess) String() string {
	text := count
	if e.Dimension == "bytes" {
		text = size
	}
	told := fmt.Sprintf("%s: limit %s, used %s", e.Dimension, text(e.Limit), text(e.Used))
	if e.Asked != 0 {
		told += fmt.Sprintf(", asked for %s more", text(e.Asked))
	}
	return told
}

// exceeded returns the limits that used does not keep.
func (l Limits) exceeded(used Usage) []Excess {
	var found []Excess
	for _, d := range dimensions {
		if limit := d.limit(l); limit != nil && d.of(used) > *limit {
			found = append(found, Excess{Dimension: d.name, Limit: *limit, Used: d.of(used)})
		}
	}
	return found
}

// refused returns the limits that do not allow to add to used. What does not grow is
// allowed, also above the limit.
func (l Limits) refused(used, added Usage) []Excess {
	var found []Excess
	for _, d := range dimensions {
		limit, more := d.limit(l), d.of(added)
		// Neither sum can overflow: more is positive and used is at most the limit then.
		if limit != nil && more > 0 && (d.of(used) > *limit || more > *limit-d.of(used)) {
			found = append(found, Excess{Dimension: d.name, Limit: *limit, Used: d.of(used), Asked: more})
		}
	}
	return found
}

// ExceededError says that a command asks for more than a project's quota allows. It is a
// [volume.ErrQuotaExceeded].
type ExceededError struct {
	Project volume.Project
	Limits  []Excess
}

// Error names each limit with what is used and what was asked for.
func (e *ExceededError) Error() string {
	texts := make([]string, len(e.Limits))
	for i, limit := range e.Limits {
		texts[i] = limit.String()
	}
	return fmt.Sprintf("quota of project %s: %s", e.Project, strings.Join(texts, "; "))
}

// Unwrap returns [volume.ErrQuotaExceeded].
func (e *ExceededError) Unwrap() error { return volume.ErrQuotaExceeded }
