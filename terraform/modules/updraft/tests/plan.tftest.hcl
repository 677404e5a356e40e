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
    condition     = alltrue([for name, rule in aws_vpc_security_group_ingress_rule.arrow : rule.referenced_security_group_id == aws_security_group.this[local.arrows[name].from].id])
    error_message = "inside, groups are named and no addresses"
  }
  assert {
    condition     = one([for condition in aws_lb_listener_rule.front["edges"].condition : condition.source_ip if length(condition.source_ip) > 0]) != null
    error_message = "what edges ask of control is asked from this network only"
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

run "tenants_are_named_one_by_one" {
  command = plan
  variables {
    tenant_role_arns = ["arn:aws:iam::111122223333:role/*"]
  }
  expect_failures = [var.tenant_role_arns]
}

run "airflow_is_not_below_the_console" {
  command = plan
  variables {
    airflow_domain = "airflow.updraft.example.com"
  }
  expect_failures = [var.airflow_domain]
}
