<?php
// The people of settings.json; the name is the NameID.
$settings = json_decode(file_get_contents(getenv('UPDRAFT_IDP_DIRECTORY') . '/settings.json'), true);
$users = [];
foreach ($settings['people'] as $name => $person) {
    $users["$name:{$person['password']}"] = [
        'uid' => [$name],
        'mail' => [$person['mail']],
        'displayName' => [$person['displayName']],
        'groups' => $person['groups'],
    ];
}
$config = ['people' => ['exampleauth:UserPass'] + $users];
