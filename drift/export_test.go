package drift

// SetCandidatesAtOnce bounds how many objects without a record are remembered at once.
func (s *Sweeper) SetCandidatesAtOnce(most int) { s.candidatesAtOnce = most }
