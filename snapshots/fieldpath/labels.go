// Package fieldpath changes parts of an entry of the snapshot store by the paths of its
// fields. Only labels ever change; their paths are those of containerd's snapshotters:
// `labels` for all of them, `labels.KEY` for one.
package fieldpath

import (
	"maps"
	"strconv"
	"strings"

	"github.com/jetvol/jetvol/volume"
)

const (
	all = "labels"
	one = "labels."
)

// ApplyLabels returns current with the labels at paths taken from wanted. The path
// `labels`, or no path at all, replaces all labels. `labels.KEY` sets that one and leaves
// the others alone; KEY is all that stands behind the first dot, in double quotes or not.
// A label that wanted gives an empty value, or does not have, is removed.
//
// Paths are followed in their order; the result for the same arguments is always the same,
// and applying it again changes nothing. The arguments are not changed, and the result
// shares nothing with them; it is nil if no label is left. The error is of code
// invalid_argument, and nothing is to be changed, if a path is none of these or the result
// is more than labels may be ([volume.Labels.Validate]).
func ApplyLabels(current, wanted volume.Labels, paths ...string) (volume.Labels, error) {
	if len(paths) == 0 {
		paths = []string{all}
	}
	result := maps.Clone(current)
	for _, path := range paths {
		if path == all {
			result = withoutEmpty(wanted)
			continue
		}
		key, err := labelKey(path)
		if err != nil {
			return nil, err
		}
		result = set(result, key, wanted[key])
	}
	if len(result) == 0 {
		return nil, nil
	}
	if err := result.Validate(); err != nil {
		return nil, err
	}
	return result, nil
}

// withoutEmpty returns a copy of labels without those whose value is empty.
func withoutEmpty(labels volume.Labels) volume.Labels {
	kept := maps.Clone(labels)
	maps.DeleteFunc(kept, func(_, value string) bool { return value == "" })
	return kept
}

// set changes labels, which may be nil, and returns them.
func set(labels volume.Labels, key, value string) volume.Labels {
	if value == "" {
		delete(labels, key)
		return labels
	}
	if labels == nil {
		labels = volume.Labels{}
	}
	labels[key] = value
	return labels
}

// labelKey returns the KEY of `labels.KEY`. It refuses a key that no label can have, also
// if it were only to be removed: it is a typo.
func labelKey(path string) (string, error) {
	key, found := strings.CutPrefix(path, one)
	if !found {
		return "", volume.Errorf(volume.ErrInvalidArgument, "path %.80q: want labels or labels.KEY; nothing else can be changed", path)
	}
	if strings.HasPrefix(key, `"`) {
		unquoted, err := strconv.Unquote(key)
		if err != nil {
			return "", volume.Errorf(volume.ErrInvalidArgument, "path %.80q: want the key as a Go string: %w", path, err)
		}
		key = unquoted
	}
	if err := (volume.Labels{key: ""}).Validate(); err != nil {
		return "", volume.Errorf(volume.ErrInvalidArgument, "path %.80q: %w", path, err)
	}
	return key, nil
}
