# What control and edges are told, once with every setting and once with those alone that nobody may leave out.
# tests/terraform/check.py compares it with tests/terraform/rendered, which services/updraft reads as its programs do.

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

override_resource {
  target = aws_iam_role.face
  values = { arn = "arn:aws:iam::123456789012:role/updraft-control" }
}

override_resource {
  target = aws_iam_role.storage
  values = { arn = "arn:aws:iam::123456789012:role/updraft-storage" }
}

override_resource {
  target = aws_s3_bucket.this["artifacts"]
  values = { id = "updraft-artifacts-123456789012-eu-central-1" }
}

override_resource {
  target = aws_s3_bucket.this["audit"]
  values = { id = "updraft-audit-123456789012-eu-central-1" }
}

variables {
  domain          = "updraft.example.com"
  airflow_domain  = "airflow.example.com"
  certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
  zones           = ["eu-central-1a", "eu-central-1b"]
  release         = { key = "releases/updraft", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
  nodes = {
    account          = { role = "arn:aws:iam::111122223333:role/updraft/updraft-control", external_id = "updraft-0123456789abcdef0123456789abcdef" }
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

run "least" {
  assert {
    condition     = length(setintersection(keys(local.settings.control), ["mail", "outbound_allow", "package_index"])) == 0
    error_message = "what is not said is not there: control takes no null for it"
  }
}

run "all" {
  variables {
    mail           = { smtp_url = "smtps://updraft@mail.example.com:465", from = "Updraft <updraft@example.com>" }
    outbound_allow = ["idp.corp.internal", "10.1.2.3:8443"]
    package_index  = "https://packages.corp.example/simple"
    nodes = {
      account          = { role = "arn:aws:iam::111122223333:role/updraft/updraft-control", external_id = "updraft-0123456789abcdef0123456789abcdef" }
      subnets          = ["subnet-0a1b2c3d", "subnet-1a1b2c3d"]
      cidrs            = ["10.80.0.0/16"]
      security_groups  = ["sg-0a1b2c3d"]
      image            = "/updraft/image"
      instance_profile = "arn:aws:iam::111122223333:instance-profile/updraft-node"
      instance_types   = { scheduler = "m7i.large", web = "m7i.large", worker = "m7i.xlarge" }
      spot_workers     = true
      runtimes         = ["airflow-3.3.2"]
      archives         = [{ sha256 = "0000000000000000000000000000000000000000000000000000000000000000", directory = "agent", key = "archives/agent.tar.gz" }]
      metadata_address = "metadata.internal:5432"
      shared_account   = false
      agents_first_in  = 7
      on_stop          = "keep"
    }
  }
  assert {
    condition     = strcontains(base64decode(aws_launch_template.this["control"].user_data), "updraft/smtp-password") && !strcontains(base64decode(aws_launch_template.this["edge"].user_data), "smtp-password")
    error_message = "control alone has the mail server's password, as a secret"
  }
  assert {
    condition     = alltrue([for template in aws_launch_template.this : length(base64decode(template.user_data)) < 12000])
    error_message = "EC2 takes 16 KiB of user data, and lists of subnets and archives grow"
  }
}
