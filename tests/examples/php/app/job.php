<?php

declare(strict_types=1);

require __DIR__ . '/vendor/autoload.php';

echo json_encode(['words' => Acme\Report::words('to be built and run')]), "\n";
