module github.com/jetvol/jetvol

go 1.26
