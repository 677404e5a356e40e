<?php
// SimpleSAMLphp for tests: everything it keeps is in UPDRAFT_IDP_DIRECTORY. PHP reads this at each request.
$directory = getenv('UPDRAFT_IDP_DIRECTORY');
$config = [
    'baseurlpath' => getenv('UPDRAFT_IDP_BASE') . '/',
    'certdir' => "$directory/",
    'loggingdir' => "$directory/",
    'datadir' => "$directory/",
    'tempdir' => "$directory/tmp",
    'metadatadir' => __DIR__ . '/metadata/',
    'secretsalt' => 'for tests only',
    'auth.adminpassword' => bin2hex(random_bytes(16)),
    'timezone' => 'UTC',
    'logging.handler' => 'file',
    'logging.logfile' => 'simplesamlphp.log',
    'enable.saml20-idp' => true,
    'module.enable' => ['exampleauth' => true, 'core' => true, 'saml' => true],
    'session.cookie.secure' => false,
    'session.cookie.samesite' => null,
    'session.phpsession.savepath' => "$directory/tmp",
    'store.type' => 'phpsession',
    'metadata.sources' => array_merge(
        [['type' => 'flatfile']],
        array_map(fn($file) => ['type' => 'xml', 'file' => $file], glob("$directory/sp/*.xml"))
    ),
];
