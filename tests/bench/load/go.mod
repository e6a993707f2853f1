module holdfast/bench/load

go 1.24
