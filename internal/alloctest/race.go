//go:build race

package alloctest

// Race says that this is a build for the race detector. It has sync.Pool forget what it
// holds at random, and so changes how often encoding/json and regexp allocate.
const Race = true
