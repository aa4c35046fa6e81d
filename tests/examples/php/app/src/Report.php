<?php

declare(strict_types=1);

namespace Acme;

final class Report
{
    public static function words(string $text): int
    {
        return count(explode(' ', $text));
    }
}
