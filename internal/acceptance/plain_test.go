//go:build !ceph

package acceptance

// The binary under test.
const (
	binaryVariable = "JETVOL_BIN"
	binaryTags     = ""
)
