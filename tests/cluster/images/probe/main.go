// Probe is a web server that says its host's name, and a client to look around from inside a pod:
//
//	probe               serve on port 8080
//	probe get URL       print what a URL answers
//	probe lookup NAME   print a name's addresses
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 3 {
		serve()
	}
	var err error
	switch os.Args[1] {
	case "get":
		err = get(os.Args[2])
	case "lookup":
		err = lookup(os.Args[2])
	default:
		err = fmt.Errorf("unknown command %q", os.Args[1])
	}
	if err != nil {
		log.Fatal(err)
	}
}

func serve() {
	name, _ := os.Hostname()
	http.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		log.Printf("%s %s from %s", request.Method, request.URL.Path, request.RemoteAddr)
		fmt.Fprintln(answer, name)
	})
	log.Print("serving on port 8080")
	log.Fatal(http.ListenAndServe(":8080", nil))
}

func get(url string) error {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}

func lookup(name string) error {
	addresses, err := net.LookupHost(name)
	fmt.Println(addresses)
	return err
}
