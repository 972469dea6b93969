module github.com/dwelltrace/dwell

go 1.26.0
