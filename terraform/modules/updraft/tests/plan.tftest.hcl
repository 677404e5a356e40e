# Plans against a provider that is played: what the module makes of its variables.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-central-1" }
  }
  mock_data "aws_ssm_parameter" {
    defaults = { value = "ami-0123456789abcdef0" }
  }
}

variables {
  domain          = "updraft.example.com"
  airflow_domain  = "airflow.example.com"
  certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
  zones           = ["eu-central-1a", "eu-central-1b"]
  nodes = {
    account          = { role = "arn:aws:iam::111122223333:role/updraft", external_id = "updraft-0123456789abcdef0123456789abcdef" }
    subnets          = ["subnet-0a1b2c3d"]
    cidrs            = ["10.80.0.0/16"]
    security_groups  = ["sg-0a1b2c3d"]
    image            = "ami-0a1b2c3d"
    instance_profile = "updraft-node"
    instance_types   = { scheduler = "m7i.large", web = "m7i.large", worker = "m7i.xlarge" }
    runtimes         = ["airflow-3.3.2"]
    archives         = [{ sha256 = "0000000000000000000000000000000000000000000000000000000000000000", directory = "agent", key = "archives/agent.tar.gz" }]
  }
  release = { key = "releases/updraft", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
}

run "two_of_everything" {
  assert {
    condition     = aws_autoscaling_group.this["control"].min_size >= 2 && aws_autoscaling_group.this["edge"].min_size >= 2
    error_message = "one machine may always be missing"
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 2 && length(aws_subnet.private) == 2
    error_message = "a zone may be missing"
  }
  assert {
    condition     = alltrue([for database in aws_db_instance.this : database.multi_az && database.storage_encrypted && database.deletion_protection && !database.publicly_accessible])
    error_message = "databases outlive a zone and a mistake, and nobody outside reaches them"
  }
  assert {
    condition     = length(aws_db_instance.this) == 2
    error_message = "the control plane's database and Airflow's are apart"
  }
}

run "subnets_do_not_overlap" {
  variables {
    zones = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  }
  assert {
    condition     = aws_subnet.public[*].cidr_block == ["10.64.0.0/24", "10.64.1.0/24", "10.64.2.0/24"] && aws_subnet.private[*].cidr_block == ["10.64.4.0/22", "10.64.8.0/22", "10.64.12.0/22"]
    error_message = "public ones in the first quarter, private ones in the others"
  }
}

run "only_balancers_are_open" {
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.opened : contains([443, 7443], rule.from_port)])
    error_message = "people's https and agents' tunnels, and nothing else"
  }
  assert {
    condition = alltrue([for text in concat(
      [for group in aws_security_group.this : group.description],
      [for rule in concat(values(aws_vpc_security_group_ingress_rule.opened), values(aws_vpc_security_group_ingress_rule.nodes)) : rule.description],
      [for rule in concat(values(aws_vpc_security_group_ingress_rule.arrow), values(aws_vpc_security_group_egress_rule.arrow), values(aws_vpc_security_group_egress_rule.outward)) : rule.description],
    ) : can(regex("^[a-zA-Z0-9. _:/()#,@\\[\\]+=&;{}!$*-]{1,255}$", text))])
    error_message = "EC2 refuses any other sign"
  }
  assert {
    condition     = alltrue([for name, rule in aws_vpc_security_group_ingress_rule.arrow : rule.referenced_security_group_id == aws_security_group.this[local.arrows[name].from].id])
    error_message = "inside, groups are named and no addresses"
  }
  assert {
    condition     = one([for condition in aws_lb_listener_rule.front["edges"].condition : condition.source_ip if length(condition.source_ip) > 0]) != null
    error_message = "what edges ask of control is asked from this network only"
  }
}

run "edges_reach_control_however_narrow_the_door_is" {
  variables {
    allowed_cidrs = ["198.51.100.0/24"]
  }
  assert {
    condition = length([for name, rule in aws_vpc_security_group_ingress_rule.opened : name
      if rule.security_group_id == aws_security_group.this["front"].id && rule.from_port == 443 && contains([for address in aws_eip.nat : "${address.public_ip}/32"], rule.cidr_ipv4)
    ]) == length(aws_eip.nat)
    error_message = "edges ask control by its public name, and come from the NAT gateways"
  }
}

run "edges_of_a_network_that_is_there_reach_control_too" {
  variables {
    zones         = []
    allowed_cidrs = ["198.51.100.0/24", "192.0.2.1/32"]
    network = {
      vpc_id              = "vpc-1"
      public_subnet_ids   = ["subnet-1", "subnet-2"]
      public_subnet_cidrs = ["10.1.0.0/24", "10.1.1.0/24"]
      private_subnet_ids  = ["subnet-3", "subnet-4"]
      egress_cidrs        = ["192.0.2.1/32", "192.0.2.2/32"]
    }
  }
  assert {
    condition     = sort([for rule in aws_vpc_security_group_ingress_rule.opened : rule.cidr_ipv4 if rule.from_port == 443]) == tolist(["192.0.2.1/32", "192.0.2.2/32", "198.51.100.0/24"])
    error_message = "each once, since EC2 takes no rule twice"
  }
}

run "a_machine_is_not_replaced_for_what_its_successor_would_lack_too" {
  assert {
    condition     = alltrue([for group in aws_autoscaling_group.this : group.health_check_type == "EC2"])
    error_message = "without a database, or before secrets have values, balancers find every machine of control unhealthy"
  }
}

run "databases_have_memory_for_their_connections" {
  assert {
    condition = alltrue([for name, size in local.sizes : (size.clusters * 30 + 100) * 10 / 1024 <= 0.51 * {
      "db.t4g.large" = 8, "db.r7g.xlarge" = 32, "db.r7g.4xlarge" = 128
    }[size.metadata_db]])
    error_message = "each connection takes some 10 MB, and Postgres's cache a quarter of the memory"
  }
  assert {
    condition = alltrue([for name, group in aws_db_parameter_group.this :
      one([for parameter in group.parameter : parameter.value if parameter.name == "max_connections"]) == tostring(local.databases[name].connections)
    ])
    error_message = "clusters that are promised have connections"
  }
}

run "a_large_one_has_connections_for_all_its_clusters" {
  variables {
    size = "large"
  }
  assert {
    condition     = one([for parameter in aws_db_parameter_group.this["metadata"].parameter : parameter.value if parameter.name == "max_connections"]) == "4600"
    error_message = "150 clusters of thirty, and a hundred"
  }
}

run "what_databases_log_ends" {
  assert {
    condition = { for group in aws_cloudwatch_log_group.database : group.name => [group.retention_in_days, group.kms_key_id] } == {
      for name in ["control/postgresql", "control/upgrade", "metadata/postgresql", "metadata/upgrade"] : "/aws/rds/instance/updraft-${name}" => [365, aws_kms_key.this.arn]
    }
    error_message = "made by RDS, they would be kept for ever, under no key of the installation"
  }
  assert {
    condition = one([for statement in jsondecode(aws_kms_key.this.policy).Statement : statement.Condition.ArnLike["kms:EncryptionContext:aws:logs:arn"] if statement.Sid == "LogsOfThisInstallation"]) == [
      "arn:aws:logs:eu-central-1:123456789012:log-group:/updraft/*",
      "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/rds/instance/updraft-*",
    ]
    error_message = "the key is CloudWatch's to use for these logs, and no others"
  }
}

run "what_a_machine_says_outlives_it" {
  assert {
    condition     = { for face, group in aws_cloudwatch_log_group.journal : face => [group.name, group.retention_in_days, group.kms_key_id] } == { for face in ["control", "edge"] : face => ["/updraft/${face}", 365, aws_kms_key.this.arn] }
    error_message = "under the installation's key, which is CloudWatch's to use for these names, and not for ever"
  }
  assert {
    condition = alltrue([for face, template in aws_launch_template.this : jsondecode(regex("\n(\\{\"logs\".*)\n", base64decode(template.user_data))[0]).logs.logs_collected.journald.collect_list == [
      { log_group_name = "/updraft/${face}", log_stream_name = "{instance_id}", priority = "info" },
    ]])
    error_message = "each machine's journal goes to its own kind's group, a stream for each"
  }
  assert {
    condition = alltrue([for face, policy in aws_iam_role_policy.face : [
      for statement in jsondecode(policy.policy).Statement : statement.Resource if contains(flatten([statement.Action]), "logs:PutLogEvents")
    ] == ["${aws_cloudwatch_log_group.journal[face].arn}:*"]])
    error_message = "no machine writes, or makes up, what another kind said"
  }
}

run "control_believes_databases_by_the_authorities_of_rds" {
  assert {
    condition     = strcontains(base64decode(aws_launch_template.this["control"].user_data), "https://truststore.pki.rds.amazonaws.com/eu-central-1/eu-central-1-bundle.pem") && local.settings.control.metadata_ca_file == "/etc/updraft/rds-ca.pem"
    error_message = "no machine trusts them by itself"
  }
  assert {
    condition     = alltrue([for database in output.databases : endswith(database.url, "?sslmode=verify-full&sslrootcert=/etc/updraft/rds-ca.pem")])
    error_message = "an operator copies the address with it"
  }
  assert {
    condition     = !strcontains(base64decode(aws_launch_template.this["edge"].user_data), "truststore")
    error_message = "edges reach no database"
  }
}

run "edges_know_no_secret_of_control" {
  assert {
    condition     = !strcontains(aws_iam_role_policy.face["edge"].policy, "sts:AssumeRole") && !strcontains(aws_iam_role_policy.face["edge"].policy, "s3:PutObject")
    error_message = "an edge faces browsers: it acts for nobody"
  }
  assert {
    condition     = alltrue([for name in ["master-key", "database-url", "metadata-url"] : !strcontains(base64decode(aws_launch_template.this["edge"].user_data), "updraft/${name}")])
    error_message = "an edge asks for its token only"
  }
  assert {
    condition     = alltrue([for template in aws_launch_template.this : one(template.metadata_options).http_tokens == "required"])
    error_message = "the metadata service answers sessions only"
  }
}

run "balancers_are_believed_about_addresses_and_nobody_else" {
  assert {
    condition     = alltrue([for template in aws_launch_template.this : strcontains(base64decode(template.user_data), "\"trusted_proxies\":[\"10.64.0.0/24\",\"10.64.1.0/24\"]")])
    error_message = "control and edges are told where balancers ask from"
  }
}

run "control_is_told_of_nodes" {
  assert {
    condition     = strcontains(base64decode(aws_launch_template.this["control"].user_data), "subnet-0a1b2c3d") && !strcontains(base64decode(aws_launch_template.this["edge"].user_data), "subnet-0a1b2c3d")
    error_message = "control starts nodes, edges do not"
  }
  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.nodes : rule.cidr_ipv4]) == toset(["10.80.0.0/16"])
    error_message = "nodes reach their metadata from their own network"
  }
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.nodes : rule.security_group_id == aws_security_group.this["metadata"].id]) && aws_db_instance.this["metadata"].vpc_security_group_ids == toset([aws_security_group.this["metadata"].id]) && aws_db_instance.this["control"].vpc_security_group_ids == toset([aws_security_group.this["database"].id])
    error_message = "and not control's server"
  }
}

run "a_network_that_is_there_is_left_alone" {
  variables {
    zones = []
    network = {
      vpc_id              = "vpc-1"
      public_subnet_ids   = ["subnet-1", "subnet-2"]
      public_subnet_cidrs = ["10.1.0.0/24", "10.1.1.0/24"]
      private_subnet_ids  = ["subnet-3", "subnet-4"]
      egress_cidrs        = ["192.0.2.1/32"]
    }
  }
  assert {
    condition     = alltrue([for template in aws_launch_template.this : strcontains(base64decode(template.user_data), "\"trusted_proxies\":[\"10.1.0.0/24\",\"10.1.1.0/24\"]")])
    error_message = "balancers are believed about addresses in a network that was there, too"
  }
  assert {
    condition     = length(aws_vpc.this) + length(aws_subnet.private) + length(aws_nat_gateway.this) + length(aws_route_table.private) == 0
    error_message = "nothing is made in it but groups"
  }
  assert {
    condition     = aws_autoscaling_group.this["edge"].vpc_zone_identifier == toset(["subnet-3", "subnet-4"])
    error_message = "machines are in its private subnets"
  }
}

run "networks_of_nodes_can_be_attached" {
  assert {
    condition     = output.network.vpc_id == aws_vpc.this[0].id && length(output.network.private_route_table_ids) == 2 && length(output.network.private_subnet_ids) == 2
    error_message = "what peerings and transit gateways ask for"
  }
  assert {
    condition     = output.security_groups["metadata"] == aws_security_group.this["metadata"].id && output.databases["metadata"].port == 5432
    error_message = "and whom they are let in by"
  }
}

run "somebody_is_woken_before_clusters_are_refused" {
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["metadata-database-connections"].threshold == 320 && aws_cloudwatch_metric_alarm.this["control-database-connections"].threshold == 240
    error_message = "at four fifths of the connections"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["tunnels-unhealthy"].dimensions["TargetGroup"] == aws_lb_target_group.passage.arn_suffix && aws_cloudwatch_metric_alarm.this["front-errors"].treat_missing_data == "notBreaching"
    error_message = "edges behind either balancer, and what the balancer itself could not pass on"
  }
}

run "control_becomes_whoever_starts_nodes" {
  variables {
    tenant_role_arns = ["arn:aws:iam::*:role/updraft/*"]
  }
  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.face["control"].policy).Statement : statement.Resource if statement.Sid == "BecomeWhatTenantsAllow"]) == ["arn:aws:iam::111122223333:role/updraft", "arn:aws:iam::*:role/updraft/*"]
    error_message = "the installation's own role, and tenants'"
  }
}

run "own_nodes_need_a_role" {
  command = plan
  variables {
    nodes = {
      subnets          = ["subnet-0a1b2c3d"]
      cidrs            = ["10.80.0.0/16"]
      security_groups  = ["sg-0a1b2c3d"]
      image            = "ami-0a1b2c3d"
      instance_profile = "updraft-node"
      instance_types   = { scheduler = "m7i.large", web = "m7i.large", worker = "m7i.xlarge" }
      runtimes         = ["airflow-3.3.2"]
      archives         = [{ sha256 = "0000000000000000000000000000000000000000000000000000000000000000", directory = "agent", key = "archives/agent.tar.gz" }]
    }
  }
  expect_failures = [var.nodes]
}

run "no_role_but_those_below_a_path" {
  command = plan
  variables {
    tenant_role_arns = ["arn:aws:iam::111122223333:role/*"]
  }
  expect_failures = [var.tenant_role_arns]
}

run "more_roles_than_a_policy_holds_are_refused_before_iam_does" {
  command = plan
  variables {
    tenant_role_arns = [for number in range(150) : "arn:aws:iam::${111122223333 + number}:role/updraft-control"]
  }
  expect_failures = [var.tenant_role_arns]
}

run "a_name_that_buckets_of_clusters_have_room_for" {
  command = plan
  variables {
    name = "updraft-production1"
  }
  expect_failures = [var.name]
}

run "the_longest_name_has_room" {
  variables {
    name = "updraft-productio1"
  }
  assert {
    condition     = length(local.bucket_prefix) == 40
    error_message = "control takes 40 signs, to which a cluster's number comes"
  }
}

run "airflow_is_not_below_the_console" {
  command = plan
  variables {
    airflow_domain = "airflow.updraft.example.com"
  }
  expect_failures = [var.airflow_domain]
}
