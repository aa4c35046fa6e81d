package main

import (
	"fmt"
	"time"
)

func main() {
	zone, err := time.LoadLocation("Europe/Berlin")
	fmt.Println("pulse", zone, err)
}
