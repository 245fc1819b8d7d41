package query

// Conform fails a test unless the JSON is as the schema says.
var Conform = conform
