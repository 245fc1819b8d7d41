// Package verify judges a finished run of jetvol: whether what its clients were told,
// its records, its events, its backend and the backend's journal tell one story.
//
// A program collects [Evidence] from a system at rest and gives it to [All], or to
// single checks. Each check is a pure function of the evidence, so what made the run
// (kill -9, partitions, several workers) makes no difference to it. A check returns a
// [Fault] for everything that cannot have come about if jetvol keeps its promises, and
// nothing for a clean run.
package verify
