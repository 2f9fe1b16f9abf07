module monoquant

go 1.19
