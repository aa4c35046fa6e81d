package com.acme;

import org.slf4j.helpers.MessageFormatter;

public final class Report {
    public static void main(String[] args) {
        System.out.println(MessageFormatter.format("{} words", "to be built and run".split(" ").length).getMessage());
    }
}
