//! Examples and notes shown below each command's help.

pub(super) const TOP: &str = "\
Examples:
  updraft up                          a whole Updraft on this machine
  updraft login                       sign in to http://localhost:7700
  updraft cluster create reports --wait
  updraft cluster open reports

Environment:
  UPDRAFT_URL     server address, as --url
  UPDRAFT_TOKEN   token to use instead of the stored sign-in

Exit codes:
  0 done   1 failed   2 wrong usage   3 not found   4 refused by the server
  5 the operation failed   6 time is up (the operation goes on)";

pub(super) const LOGS: &str = "\
Examples:
  updraft logs demo --service scheduler --follow
  updraft logs demo --task hello_updraft/greet --attempt 1
  updraft logs demo --node worker-1 --since 1h --search timeout
  updraft logs demo --service tasks --since 1h --output json

Read from the cluster's bucket: also while it is stopped, and of nodes that are gone. Without --task and --service it is
the services' logs, which are for cluster admins; task logs are for everyone who may use the cluster.";

pub(super) const UP: &str = "\
Examples:
  updraft up
  updraft up --data-dir /srv/updraft --port-base 8800
  updraft up --no-demo
  updraft up --smtp-url smtps://updraft@mail.example.com --smtp-password-file mail.secret \\
      --mail-from updraft@example.com

Afterwards:
  updraft login       with the address and password that were printed
  updraft down        stops everything, from another terminal";

pub(super) const DOWN: &str = "\
Examples:
  updraft down
  updraft down --data-dir /srv/updraft

Clusters keep their database, DAGs, logs and URL; `updraft up` brings them back.";

pub(super) const PROVIDER: &str = "\
Examples:
  updraft provider check --config ec2.json
  updraft provider check --config ec2.json --output json
  updraft provider external-id

The configuration is described in docs/ec2.md. Credentials are those of the environment (AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY), or of this machine's instance profile.";

pub(super) const RUNTIME: &str = "\
Example:
  updraft runtime prepare --config control.json --environment /opt/updraft/runtimes/airflow-3.3.2";

pub(super) const OPERATOR_INIT: &str = "\
Example:
  updraft operator init --config control.json --email ada@example.com --password-file password";

pub(super) const OPERATOR: &str = "\
Examples:
  updraft operator list
  updraft operator grant ada@example.com
  updraft operator revoke ada@example.com --data-dir /srv/updraft

`updraft up` makes the first admin an operator. It counts in sessions that were opened with a password, never in
those of an identity provider, nor for API tokens.";

pub(super) const OPERATOR_RESTORED: &str = "\
Examples:
  updraft operator restored
  updraft operator restored --confirm

A node that the provider lists and no record names was launched after the backup that control's database was restored
from. Until you confirm it, control ends no node, stops none and deletes nothing, and leaves clusters with such nodes as
they are. Confirmed, these nodes are ended and what their clusters were asked for is brought about.";

pub(super) const OPERATOR_KEYS: &str = "\
Examples:
  updraft operator rotate-keys --status
  updraft operator rotate-keys
  updraft operator rotate-keys --compromised

Each key turns by itself after 30 days. A new one is used once everybody who has to believe it
knows it, and the old one is forgotten when nothing of it can live: no request fails meanwhile. Who
does not answer is waited for a quarter of an hour. Control does it; this command asks for it and
shows how far it is, and can be ended at any moment.";

pub(super) const OPERATOR_MASTER_KEY: &str = "\
Examples:
  updraft operator rotate-master-key --status
  updraft operator rotate-master-key

Where `updraft up` runs, a new key is made and put before the old one in its file; control takes both over within
seconds, seals under the new one, all secrets are sealed anew, and the old key is taken out of the file once none lies
under it. It can be ended at any moment and called again. With --config, where control runs as a service, the file is
yours to change: docs/runbook.md, \"Rotate every key\".";

pub(super) const OPERATOR_AGENTS: &str = "\
Examples:
  updraft operator agents --config control.json
  updraft operator agents --config control.json --again

Nodes of EC2 whose agent is another than `nodes.ec2.provider.archives` names are told to replace it: one first, then more at
once, of each cluster one at a time. Services go on meanwhile. One that fails keeps its agent and stops it for all others,
until you ask for it again.";

pub(super) const TOKEN_CREATE: &str = "\
Examples:
  updraft token create nightly --role user
  updraft token create deploy --role admin --days 30 --service-account ci-deploy
  UPDRAFT_TOKEN=$(updraft token create status --role user) updraft status

A token works on the REST API and on every Airflow its owner may use, as `Authorization: Bearer`. It is shown once and
stored as a hash. It makes no tokens, ends no sessions and changes no password: that takes a person who has signed in.";

pub(super) const TOKEN_LIST: &str = "\
Examples:
  updraft token list
  updraft token list --output json";

pub(super) const TOKEN_REVOKE: &str = "\
Examples:
  updraft token revoke nightly
  updraft token revoke 0197c2c4-7a10-7d1e-b7a3-2f1f1a7c9f00

At every Airflow it is worth nothing within seconds.";

pub(super) const PERSON_LIST: &str = "\
Examples:
  updraft person list
  updraft person list --output json";

pub(super) const PERSON_PASSWORD_LINK: &str = "\
Examples:
  updraft person password-link bo@example.com
  updraft person password-link bo@example.com --output json | jq -r .link

Whoever has the link may set the password: hand it over by a way that you trust. Links made before are worth nothing.
An account that another tenant trusts too is no owner's to hand out: its person uses \"Forgot your password?\", or an
operator gives --as-operator, which each of those tenants finds in its audit log.";

pub(super) const PERSON_REMOVE_SECOND_FACTOR: &str = "\
Example:
  updraft person remove-second-factor bo@example.com";

pub(super) const SESSION_LIST: &str = "\
Examples:
  updraft session list
  updraft session list --person bo@example.com --output json";

pub(super) const SESSION_REVOKE: &str = "\
Examples:
  updraft session revoke 0197c2c4-7a10-7d1e-b7a3-2f1f1a7c9f00
  updraft session revoke --all                       all but this one
  updraft session revoke --all --person bo@example.com";

pub(super) const SERVICE_ACCOUNT: &str = "\
Examples:
  updraft service-account create ci-deploy
  updraft token create deploy --role admin --service-account ci-deploy
  updraft service-account delete ci-deploy --yes

A service account has no role until it is given one, on the cluster's Access tab or by PUT /clusters/{id}/grants/{user}.";

pub(super) const TENANT_CREATE: &str = "\
Examples:
  updraft tenant create 'Example Analytics' --owner ada@example.com --owner-name 'Ada Winter'
  updraft tenant create Lab --owner bo@example.com --max-clusters 3 --max-nodes 12

The owner's first password is random and shown once. Somebody who has an account keeps their own.";

pub(super) const TENANT_LIST: &str = "\
Examples:
  updraft tenant list
  updraft tenant list --all --output json";

pub(super) const TENANT_SHOW: &str = "\
Example:
  updraft tenant show Lab";

pub(super) const TENANT_UPDATE: &str = "\
Example:
  updraft tenant update Lab --max-clusters 5

What the tenant has already stays, also when it is more.";

pub(super) const TENANT_DELETE: &str = "\
Example:
  updraft tenant delete Lab --yes

Its clusters must be deleted first. People who belong to no other tenant go with it; its audit log stays.";

pub(super) const TENANT_SWITCH: &str = "\
Example:
  updraft tenant switch Lab

The session here ends and another begins there. A session that an identity provider opened is good in its own tenant
alone: sign in to the other one instead.";

pub(super) const CONTROL: &str = "\
Example:
  updraft control --config /srv/updraft/control/control.json";

pub(super) const EDGE: &str = "\
Example:
  updraft edge --config /srv/updraft/edge/edge.json";

pub(super) const AGENT: &str = "\
Example:
  updraft agent --bootstrap /srv/updraft/nodes/scheduler-1/bootstrap.json

The provider starts agents; nobody needs to do so by hand.";

pub(super) const LOGIN: &str = "\
Examples:
  updraft login
  updraft login https://updraft.example.com --email ada@example.com
  pass updraft | updraft login --email ada@example.com --password-stdin

The password is never taken from the command line. The token is stored in
$XDG_CONFIG_HOME/updraft/credentials.json, readable by you alone.";

pub(super) const LOGOUT: &str = "\
Example:
  updraft logout

The session ends on the server too: the stored token is worth nothing afterwards.";

pub(super) const STATUS: &str = "\
Examples:
  updraft status
  updraft status --output json";

pub(super) const COMPLETIONS: &str = "\
Examples:
  updraft completions bash > ~/.local/share/bash-completion/completions/updraft
  updraft completions zsh > ~/.zfunc/_updraft
  updraft completions fish > ~/.config/fish/completions/updraft.fish";

pub(super) const CREATE: &str = "\
Examples:
  updraft cluster create reports --wait
  updraft cluster create reports --workers 3 --worker-concurrency 8
  updraft cluster create reports --worker-queue heavy=0..4,concurrency=1
  updraft cluster create reports --start-at '0 7 * * 1-5' --stop-at '0 20 * * 1-5' --time-zone Europe/Berlin
  updraft cluster create reports --config core.parallelism=64 --tag env=prod --no-start";

pub(super) const UPDATE: &str = "\
Examples:
  updraft cluster update reports --workers 3 --wait
  updraft cluster update reports --worker-queue default=1..4,concurrency=8 --worker-queue heavy=0..2,concurrency=1
  updraft cluster update reports --stop-at '0 20 * * *' --time-zone Europe/Berlin
  updraft cluster update reports --config core.parallelism=64 --config core.load_examples=False
  updraft cluster update reports --tag env=prod --tag team=data
  updraft cluster update reports --env REGION=eu-west-1 --env AIRFLOW__CORE__PARALLELISM=64
  updraft cluster update reports --bootstrap bootstrap.sh --bootstrap-time-limit 2m --wait
  updraft cluster update reports --requirements requirements.txt --wait
  updraft cluster update reports --no-config";

pub(super) const LIST: &str = "\
Examples:
  updraft cluster list
  updraft cluster list --output json | jq -r '.[].airflow_url'";

pub(super) const SHOW: &str = "\
Examples:
  updraft cluster show demo
  updraft cluster show 1 --output json";

pub(super) const START: &str = "\
Examples:
  updraft cluster start demo
  updraft cluster start demo --wait --timeout 5m";

pub(super) const STOP: &str = "\
Example:
  updraft cluster stop demo --wait

Running tasks are given time to finish. Database, DAGs, logs and URL stay.";

pub(super) const RESTART: &str = "\
Example:
  updraft cluster restart demo --wait";

pub(super) const ROTATE_KEYS: &str = "\
Its certificate authority, Fernet key, secret of tokens, and the passwords of broker and database become others. Workers
finish what they run; queued tasks wait. A stopped cluster gets other keys at once, and encrypts its connections and
variables anew when it is started.

Example:
  updraft cluster rotate-keys demo --wait";

pub(super) const DELETE: &str = "\
Examples:
  updraft cluster delete demo
  updraft cluster delete demo --yes --wait

Its database, DAGs and logs are lost for good.";

pub(super) const OPEN: &str = "\
Examples:
  updraft cluster open demo
  updraft cluster open demo --print";

pub(super) const EVENTS: &str = "\
Examples:
  updraft cluster events demo
  updraft cluster events demo --follow
  updraft cluster events demo --limit 200 --output json";

pub(super) const NODES: &str = "\
Example:
  updraft cluster nodes demo";

pub(super) const BOOT_LOG: &str = "\
Examples:
  updraft cluster boot-log demo worker-1
  updraft cluster boot-log demo 0199c2c1-5b1e-7d20-8a3e-1f6f0d7b9a10";

pub(super) const OPERATIONS: &str = "\
Examples:
  updraft cluster operations demo
  updraft cluster operations demo --output json";

pub(super) const SERVICES: &str = "\
Examples:
  updraft cluster services demo
  updraft cluster services restart demo worker --wait
  updraft cluster services stop demo triggerer
  updraft cluster services restart demo worker --node worker-2";

pub(super) const SERVICE_VERB: &str = "\
Examples:
  updraft cluster services restart demo scheduler --wait
  updraft cluster services restart demo worker --node worker-2

Services: broker, results, scheduler, dag-processor, triggerer, api-server, worker, flower";

pub(super) const AUDIT_LIST: &str = "\
Examples:
  updraft audit list
  updraft audit list --since 24h --action sign_in --outcome refused
  updraft audit list --target cluster:7 --output json";

pub(super) const AUDIT_EXPORT: &str = "\
Examples:
  updraft audit export --since 2026-11-01 --until 2026-12-01 > november.ndjson
  updraft audit export --actor ada@example.com | jq -r .action | sort | uniq -c

Always a JSON object a line. The same lines are in object storage, under audit/<tenant>/.";

pub(super) const SSO_PROVIDER_CREATE: &str = "\
Examples:
  updraft sso provider create Okta --preset okta --issuer https://acme.okta.com \\
      --client-id 0oa1 --secret-file secret.txt --groups-claim groups --scope groups
  updraft sso provider create ADFS --metadata metadata.xml
  updraft sso provider test Okta && updraft sso provider enable Okta";

pub(super) const SSO_PROVIDER_LIST: &str = "\
Examples:
  updraft sso provider list
  updraft sso provider list --output json";

pub(super) const SSO_PROVIDER_SHOW: &str = "\
Example:
  updraft sso provider show Okta              with the redirect URI to register there";

pub(super) const SSO_PROVIDER_UPDATE: &str = "\
Examples:
  updraft sso provider update Okta --secret-file secret.txt
  updraft sso provider update ADFS --metadata metadata.xml";

pub(super) const SSO_PROVIDER_TEST: &str = "\
Example:
  updraft sso provider test Okta";

pub(super) const SSO_PROVIDER_ENABLE: &str = "\
Example:
  updraft sso provider test Okta && updraft sso provider enable Okta";

pub(super) const SSO_PROVIDER_DISABLE: &str = "\
Example:
  updraft sso provider disable Okta";

pub(super) const SSO_PROVIDER_DELETE: &str = "\
Example:
  updraft sso provider delete Okta";

pub(super) const SSO_DOMAIN_LIST: &str = "\
Example:
  updraft sso domain list";

pub(super) const SSO_DOMAIN_CHECK: &str = "\
Example:
  updraft sso domain check example.com";

pub(super) const SSO_DOMAIN_SEND: &str = "\
Example:
  updraft sso domain send example.com --provider Okta";

pub(super) const SSO_DOMAIN_REMOVE: &str = "\
Example:
  updraft sso domain remove example.com";

pub(super) const SSO_DOMAIN_ADD: &str = "\
Example:
  updraft sso domain add example.com --provider Okta
  updraft sso domain check example.com        after the record is in DNS";

pub(super) const SSO_RULES: &str = "\
Examples:
  updraft sso rules
  updraft sso rules --passwords false         once an owner has signed in through a provider
  updraft sso rules --session 8h";

pub(super) const AWS_ACCOUNT: &str = "\
Examples:
  updraft aws-account create production       prints the trust policy for a role in that account
  updraft aws-account update production --role-arn arn:aws:iam::123456789012:role/updraft-control \\
    --region eu-central-1 --subnet subnet-0a1b2c3d --subnet subnet-1a1b2c3d --instance-profile updraft-node
  updraft aws-account check production
  updraft cluster create demo --aws-account production

Nodes of your clusters are in your own AWS account then, on your bill. What else the role has to be allowed is in
terraform/modules/tenant-account.";

pub(super) const AWS_ACCOUNT_ROTATE: &str = "\
Examples:
  updraft aws-account rotate-external-id production             prints the trust policy with both
  updraft aws-account check production                          says whether the role takes the next one, too
  updraft aws-account rotate-external-id production --finish    the next one from now on
  updraft aws-account rotate-external-id production --cancel    stay with the present one";

pub(super) const CREDENTIAL: &str = "\
Examples:
  updraft credential list
  updraft credential delete github

What clusters read sources with. Secrets are encrypted, go only to the node that reads, and are never shown again.";

pub(super) const CREDENTIAL_CREATE: &str = "\
Examples:
  updraft credential create git-token github --host github.com < token.txt
  ssh-keyscan github.com > hosts; updraft credential create ssh-key deploy --known-hosts hosts
  updraft credential create s3-keys aws --access-key AKIAIOSFODNN7EXAMPLE --secret-file key.txt
  updraft credential create aws-role logs --role-arn arn:aws:iam::123456789012:role/airflow-logs
  updraft credential create package-index pypi --host pypi.example.com < token.txt

Without --private-key an SSH key is made: let its public half, which is printed, read the repository.

Of a role the trust policy is printed, with an external id that is this credential's own: paste it in IAM.";

pub(super) const CREDENTIAL_REPLACE: &str = "\
Examples:
  updraft credential replace git-token github --host github.com < new-token.txt

Clusters that name it read with the new secret at once.";

pub(super) const SECRETS: &str = "\
Examples:
  updraft secrets list reports
  updraft secrets remove reports WAREHOUSE_TOKEN --wait

A secret belongs to one cluster. Its value is encrypted, goes to that cluster's nodes alone, and is never shown again.";

pub(super) const SECRETS_SET: &str = "\
Examples:
  updraft secrets set reports WAREHOUSE_TOKEN < token.txt
  updraft secrets set reports AIRFLOW_CONN_WAREHOUSE --secret-file connection.json --wait
  updraft secrets set reports --env-file secrets.env --wait

Tasks read it as an environment variable. Services restart with it, workers once their tasks are done.";

pub(super) const DAGS: &str = "\
Examples:
  updraft dags status --cluster reports
  updraft dags versions --cluster reports --output json";

pub(super) const DAGS_PUSH: &str = "\
Examples:
  updraft dags push ./dags --cluster reports --wait
  updraft dags push ./team-a --cluster reports --folder team_a --message \"$(git log -1 --format=%s)\" --wait

The cluster's source must be `push`: `updraft cluster update reports --dags push`.
With --wait it ends with the receipt, and with exit code 5 when Airflow cannot import a file: made for CI.";

pub(super) const DAGS_SYNC: &str = "\
Examples:
  updraft dags sync --cluster reports --wait";

pub(super) const DAGS_ROLLBACK: &str = "\
Examples:
  updraft dags versions --cluster reports
  updraft dags rollback 3f9ac27b --cluster reports --wait
  updraft dags follow --cluster reports

It stays with that version, whatever the sources say, until `dags follow`. Runs that have begun keep theirs.";

pub(super) const DAGS_HOOK: &str = "\
Examples:
  updraft dags hook create --cluster reports
  updraft dags hook list --cluster reports

Enter address and secret at GitHub (Webhooks, application/json, just the push event) or GitLab (Webhooks, push events).";
